"""Reading trained weights: official files of Sapiens, and our own."""
