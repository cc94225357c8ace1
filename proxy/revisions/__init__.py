"""Accepted revisions: kept in `gateway.state_dir`, compared, served again."""
