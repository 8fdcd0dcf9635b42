"""Models of the parts on a bench: what they do on their pins, and what a person sees of them."""
