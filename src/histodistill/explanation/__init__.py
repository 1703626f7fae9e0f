"""What each patch brought to an answer, whether that is true of the model, and its picture."""
