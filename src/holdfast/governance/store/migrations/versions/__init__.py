"""The steps. A file is named like its revision, ``DOMAIN_NNNN``, and a step that was released is never changed."""
