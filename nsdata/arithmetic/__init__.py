"""Pure numpy on ids and rows: no storage, no pictures, no words."""
