"""One module per chart: matplotlib draws it as a picture, Plotly on the page. `registry` lists them."""
