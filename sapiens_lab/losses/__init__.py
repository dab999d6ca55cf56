"""What training minimises: modules that compare tensors and know no batch."""
