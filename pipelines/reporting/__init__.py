"""Pages for people: figures, tables and words made from the files that the stages leave."""
