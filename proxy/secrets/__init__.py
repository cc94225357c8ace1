"""The stores that the section `secrets:` names, and how their values are kept fresh."""
