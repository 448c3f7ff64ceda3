"""Comparisons: is the candidate faster, slower, or is there no difference to be shown?"""
