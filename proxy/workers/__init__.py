"""Several processes that serve one address: their parent, and what each of them is."""
