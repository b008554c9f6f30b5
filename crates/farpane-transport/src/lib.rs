//! Ways for media, input and feedback to travel.
