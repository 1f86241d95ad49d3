"""What is measured and decided about documents; no input or output, no cluster."""
