"""What was found, drawn and summed up for people to look at: nothing here finds anything itself."""
