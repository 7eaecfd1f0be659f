"""The pictogram of §2: five of 64 emoji that tell devices and relays apart."""

from __future__ import annotations

_TABLE = [
    "🐶 dog", "🐱 cat", "🦁 lion", "🐎 horse", "🦄 unicorn", "🐷 pig", "🐘 elephant",
    "🐰 rabbit", "🐼 panda", "🐓 rooster", "🐧 penguin", "🐢 turtle", "🐟 fish", "🐙 octopus",
    "🦋 butterfly", "🌷 flower", "🌳 tree", "🌵 cactus", "🍄 mushroom", "🌏 globe", "🌙 moon",
    "☁️ cloud", "🔥 fire", "🍌 banana", "🍎 apple", "🍓 strawberry", "🌽 corn", "🍕 pizza",
    "🎂 cake", "❤️ heart", "😀 smiley", "🤖 robot", "🎩 hat", "👓 glasses", "🔧 spanner",
    "🎅 santa", "👍 thumbs-up", "☂️ umbrella", "⌛ hourglass", "⏰ clock", "🎁 gift",
    "💡 light-bulb", "📕 book", "✏️ pencil", "📎 paperclip", "✂️ scissors", "🔒 lock",
    "🔑 key", "🔨 hammer", "☎️ telephone", "🏁 flag", "🚂 train", "🚲 bicycle",
    "✈️ aeroplane", "🚀 rocket", "🏆 trophy", "⚽ ball", "🎸 guitar", "🎺 trumpet",
    "🔔 bell", "⚓ anchor", "🎧 headphones", "📁 folder", "📌 pin",
]  # fmt: skip


def _indices(fingerprint: str) -> list[int]:
    bits = int(fingerprint, 16) >> (256 - 30)
    return [bits >> shift & 0x3F for shift in (24, 18, 12, 6, 0)]


def pictogram(fingerprint: str) -> list[str]:
    """The five emoji of a fingerprint."""
    return [_TABLE[index].split()[0] for index in _indices(fingerprint)]


def speakable(fingerprint: str) -> str:
    """Their five names."""
    return " ".join(_TABLE[index].split()[1] for index in _indices(fingerprint))
