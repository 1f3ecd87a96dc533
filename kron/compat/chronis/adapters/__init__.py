"""The adapters that a program written for Chronis passes; Kron needs none of them."""
