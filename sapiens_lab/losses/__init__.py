"""What training minimizes: modules that compare tensors and know no batch."""
