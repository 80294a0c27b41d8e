"""A web page that names photos: drop some on it, or take one with the camera.

`python -m paddle_wrn.app RUN` (extra `app`), or `from paddle_wrn.app import serve`. docs/web_page.md
says how to use it, what it keeps and what it refuses.
"""
