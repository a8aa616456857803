"""How fast training is, against others' and against a matrix product of the same process."""
