"""What the dashboard's views show: one function per view, one answer per view, reads only.

Numbers that are exact stay exact (text in JSON); times are UTC in ISO 8601.
"""
