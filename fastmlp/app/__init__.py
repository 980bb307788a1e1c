"""The parts of the main job, ``python -m fastmlp``; not meant for import by users."""


class UserError(Exception):
    """Something that the user can put right, said in one line."""
