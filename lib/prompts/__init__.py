"""Templates and values -> the text a model is sent; and the answers it is asked for."""
