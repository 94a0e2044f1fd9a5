"""Optimizers and surfaces traced to jaxprs and written out as JavaScript, so that nothing is said twice."""
