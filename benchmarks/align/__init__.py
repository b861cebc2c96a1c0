"""What alignment is measured on, and how it scales."""
