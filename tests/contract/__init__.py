"""What every plug-in must pass: each test here runs over all registered methods or all data sets."""
