"""Pages that open by double click, without a server: for the supplement of a paper."""
