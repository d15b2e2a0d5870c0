"""What an application author writes, as data."""
