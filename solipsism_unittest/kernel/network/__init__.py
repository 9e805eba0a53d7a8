"""Who is bound where, and what befalls what is sent."""

