"""Direct preference optimization: pairs of a chosen and a rejected answer, and the loss on them."""
