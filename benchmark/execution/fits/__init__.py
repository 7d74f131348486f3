"""One fit: the side that trains, in what condition and process, and the scorer that has the labels."""
