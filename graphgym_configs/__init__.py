"""The configurations, as package data: this file lets setuptools install them beside ``pyg_samsa``, where the command
line looks for them.
"""
