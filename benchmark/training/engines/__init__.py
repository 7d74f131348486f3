"""How the steps of fits are taken: one after another, or captured on a GPU, of several fits side by side."""
