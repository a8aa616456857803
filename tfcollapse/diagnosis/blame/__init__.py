"""Find out who is to blame for a collapse, by trainings that differ in one suspect each."""
