"""Code that several verbs share. No verb imports another verb."""
