"""A run as a page for the browser, on which people browse and search its samples, and as a form in which they review some of them."""

from lib.publish.page.html import Page, write_page
from lib.publish.page.review import write_review_form

__all__ = ["Page", "write_page", "write_review_form"]
