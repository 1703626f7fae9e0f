"""What the networks are trained by: the objective of the paper, and further terms."""
