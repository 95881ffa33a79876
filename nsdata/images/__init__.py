"""What is inside a picture file: recognised, decoded, cropped, hashed."""
