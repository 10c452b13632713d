"""Tables of molecules in files of several formats, read and written in chunks of rows."""
