"""SCIM 2.0 (RFC 7643, RFC 7644): how identity providers write the directory."""
