"""What runs and comparisons are called beside one another: by what was compared, not by their folders."""

from collections import Counter
from collections.abc import Mapping, Sequence

from codistill.report.prose import plain

MOST = 4  # settings in a title


def distinct(
    titles: Sequence[str],
    settings: Sequence[Mapping[str, object]],
    folders: Sequence[str],
    apart: Sequence[object] = (),
) -> list[str]:
    """The titles; where several are the same, each with the settings in which these differ, else with its folder.

    Args:
        titles: of each, what was compared.
        settings: of each.
        folders: the name of each one's folder.
        apart: what else tells those of one title apart, such as their seeds; none: nothing.
    """
    told = [_with_settings(number, titles, settings) for number in range(len(titles))]
    counted = Counter(zip(told, apart or [None] * len(told), strict=True))
    again = {title for (title, _), times in counted.items() if times > 1}
    return [f"{title} ({folder})" if title in again else title for title, folder in zip(told, folders, strict=True)]


def _with_settings(number: int, titles: Sequence[str], settings: Sequence[Mapping[str, object]]) -> str:
    own = settings[number]
    others = [each for title, each in zip(titles, settings, strict=True) if title == titles[number]]
    differ = [name for name in own if any(each.get(name) != own[name] for each in others)]
    said = ", ".join(f"{name.replace('_', ' ')} {_shown(own[name])}" for name in differ[:MOST])
    return f"{titles[number]}, {said}" if said else titles[number]


def _shown(value: object) -> str:
    return " ".join(map(plain, value)) if isinstance(value, list | tuple) else plain(value)


__all__ = ["distinct"]
