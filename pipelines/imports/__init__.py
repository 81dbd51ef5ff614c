"""Tables of features made elsewhere: read, checked, declared, and stored beside radmill's own."""
