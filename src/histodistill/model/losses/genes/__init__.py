"""Terms of the loss that read the genes themselves."""
