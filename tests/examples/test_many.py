"""All issued tokens, checked by `jeton check-tokens` on virtual meters."""

import subprocess
import sys


def check(folder, issued):
    file = folder / "issued.csv"
    file.write_bytes(issued)
    command = [sys.executable, "-m", "jeton_host", "check-tokens", str(file)]
    return subprocess.run(
        [*command, "--junit", str(folder / "report.xml")], capture_output=True, text=True
    )


def test_all_issued_tokens_are_accepted(vending, tmp_path):
    vending.buy("10")
    vending.change_key(krn=2)
    vending.buy("5")

    done = check(tmp_path, vending.issued())

    assert done.returncode == 0, done.stdout
    assert "4 rows, 1 meter" in done.stdout


def test_tokens_issued_with_the_old_key_are_found(vending, tmp_path):
    vending.change_key(krn=2)
    vending.let_fail(old_key=True)
    token = vending.buy("5")

    done = check(tmp_path, vending.issued())

    assert done.returncode == 1
    assert token in done.stdout
    assert "under the meter's previous key" in done.stdout
    assert "<failure" in (tmp_path / "report.xml").read_text()
