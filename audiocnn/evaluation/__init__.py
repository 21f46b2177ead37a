"""From fold results to the numbers and tables in metrics/, and back."""
