"""Networks: pixels in, feature maps and dense outputs out. No config and no trainer needed."""
