"""What is measured: data, the training loop, one adapter per framework, a scripted fake."""
