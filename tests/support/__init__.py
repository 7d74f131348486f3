"""What tests share: data and records made up, programs that tests run, and where the checkout is."""
