"""Map the programs' folders into the one package that is installed: gateway/ is tsudoi.gateway there."""

from setuptools import find_packages, setup

PROGRAMS = ("gateway", "broker", "client", "scenarios")

setup(
    packages=[
        *find_packages(include=["tsudoi", "tsudoi.*"]),
        *(f"tsudoi.{name}" for program in PROGRAMS for name in find_packages(include=[program, f"{program}.*"])),
    ],
    package_dir={f"tsudoi.{program}": program for program in PROGRAMS},
)
