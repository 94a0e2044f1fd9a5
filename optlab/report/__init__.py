"""A study's report: one HTML file with everything that its tables say, and how sure it is.

`comparison` chooses the runs that are compared and judges them, `tables` and `sections` say it, `figures` draw it,
`build` writes the file. Nothing here starts JAX.
"""
