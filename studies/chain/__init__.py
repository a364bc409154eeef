"""Teacher and student as one study: the stages of seven arms, each made once, and the rates that they train with."""
