"""What is below is a sample to copy: who runs pytest over installed packages does not run it."""

collect_ignore = ["shop"]
