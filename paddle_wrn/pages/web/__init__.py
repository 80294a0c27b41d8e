"""A page in the browser that says what photos show: drop some, or take one with the camera.

`python -m paddle_wrn.app RUN` (extra `app`), or `from paddle_wrn.app import serve`. docs/web_page.md
says how it is used, what it keeps and what it refuses.
"""
